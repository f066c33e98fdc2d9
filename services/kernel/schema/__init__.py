"""Feed schemas, compiled: one vocabulary of tags, one plan for each schema."""

from services.kernel.schema.load import compile_feed, load_feeds
from services.kernel.schema.plan import Feeds, Leaf, Node, Plan
from services.kernel.schema.tags import Action, Tags, TextKind, load_tags

__all__ = [
    "Action",
    "Feeds",
    "Leaf",
    "Node",
    "Plan",
    "Tags",
    "TextKind",
    "compile_feed",
    "load_feeds",
    "load_tags",
]
