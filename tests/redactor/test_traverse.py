"""Laws of the traversal, for any value of any feed: nothing is lost unseen, moved, invented or kept by mistake."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.schema.plan import Leaf, Node, Plan, escape
from services.kernel.schema.tags import Action, TextKind
from services.redactor.traverse import Traversed, count_leaves, traverse
from tests.redactor.helpers import FakeEngine, FakeRedaction, feeds

ENGINE = FakeEngine()
PLANS = {plan.feed: plan for plan in feeds().plans.values()}
WORDS = ("She is Fooish", "zzz", "they kill", "plain", "", "Ünïcode 🦊", "Fooish Fooish", '{"a": "Fooish"}')

CASES = given(st.sampled_from(sorted(PLANS)), st.integers(0, 2**32), st.booleans())
FEW = settings(max_examples=150, deadline=None)


class Maker:
    """Makes values of about the shape of a plan from a seed, and now and then anything at all."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def record(self, plan: Plan) -> dict[str, Any]:
        return self.object(plan.root)

    def object(self, node: Node) -> dict[str, Any]:
        keys = self.random.sample(sorted(node.children), k=self.random.randint(0, len(node.children)))
        made = {key: self.value(node.children[key]) for key in keys}
        if self.random.random() < 0.1:
            made[self.random.choice(WORDS)] = self.junk(2)
        return made

    def value(self, node: Node) -> Any:
        if self.random.random() < 0.05:
            return self.junk(2)
        if node.leaf is not None:
            return self.scalar(self.random.choice(sorted(node.leaf.types)))
        if node.items is not None:
            return [self.value(node.items) for _ in range(self.random.randint(0, 3))]
        return self.object(node)

    def scalar(self, name: str) -> Any:
        return {
            "string": self.random.choice(WORDS), "integer": self.random.randint(0, 99), "null": None,
            "number": self.random.random(), "boolean": self.random.random() < 0.5,
        }[name]  # fmt: skip

    def junk(self, depth: int) -> Any:
        form = self.random.randint(0, 7 if depth else 4)
        if form < 5:
            return self.scalar(("string", "integer", "null", "number", "boolean")[form])
        inner = [self.junk(depth - 1) for _ in range(self.random.randint(0, 3))]
        return inner if form == 5 else dict(zip(WORDS, inner, strict=False))


def redact(value: dict[str, Any], plan: Plan, protected: bool = True) -> Traversed:
    def scan(text: str, kind: TextKind) -> FakeRedaction:
        return ENGINE.redact(text, kind, protected)

    return traverse(value, plan, protected=protected, scan=scan, pseudonym=hashed)


def hashed(leaf: Leaf, value: str) -> str:
    return f"#{leaf.tag}:{value}"


def leaves(value: Any, pointer: str = "", pattern: str = "") -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{pointer}/{escape(key)}", f"{pattern}/{escape(key)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{index}", f"{pattern}/*")
    else:
        yield pointer, pattern, value


@FEW
@CASES
def test_every_leaf_comes_out_or_is_counted(feed: str, seed: int, protected: bool) -> None:
    plan, value = PLANS[feed], Maker(seed).record(PLANS[feed])
    done = redact(value, plan, protected)
    assert done.leaves_in == count_leaves(value)
    assert done.leaves_out == count_leaves(done.value)
    assert done.leaves_in == done.leaves_out + sum(done.dropped.values())


@FEW
@CASES
def test_every_leaf_comes_from_its_own_place(feed: str, seed: int, protected: bool) -> None:
    """A dropped element may close up a list of scalars; containers never move."""
    plan, value = PLANS[feed], Maker(seed).record(PLANS[feed])
    done = redact(value, plan, protected)
    source = {pointer: item for pointer, _, item in leaves(value)}
    beside: dict[str, list[Any]] = {}
    for pointer, item in source.items():
        beside.setdefault(pointer.rpartition("/")[0], []).append(item)
    for pointer, pattern, item in leaves(done.value):
        leaf = plan.leaves.get(pattern)
        if leaf is None:
            assert item is None
            continue
        parent = pointer.rpartition("/")[0]
        originals = beside[parent] if pattern.endswith("/*") else [source[pointer]]
        action = leaf.action(protected)
        assert action is not Action.DROP
        made = [after(original, leaf, action, protected) for original in originals]
        assert any(item == other and type(item) is type(other) for other in made)


def after(original: Any, leaf: Leaf, action: Action, protected: bool) -> Any:
    if original is None or action is Action.KEEP:
        return original
    if action is Action.PSEUDONYMISE:
        return hashed(leaf, str(original))
    return ENGINE.redact(original, leaf.kind, protected).text if isinstance(original, str) else original


@FEW
@CASES
def test_twice_equals_once(feed: str, seed: int, protected: bool) -> None:
    plan, value = PLANS[feed], Maker(seed).record(PLANS[feed])
    once = redact(value, plan)

    def same(leaf: Leaf, given: str) -> str:
        return given

    def scan(text: str, kind: TextKind) -> FakeRedaction:
        return ENGINE.redact(text, kind, True)

    twice = traverse(once.value, plan, protected=True, scan=scan, pseudonym=same)
    assert twice.value == once.value
    assert not twice.dropped


@FEW
@CASES
def test_no_detected_word_survives(feed: str, seed: int, protected: bool) -> None:
    plan, value = PLANS[feed], Maker(seed).record(PLANS[feed])
    done = redact(value, plan)
    for _, pattern, item in leaves(done.value):
        leaf = plan.leaves.get(pattern)
        if leaf is not None and leaf.protected is Action.SCAN and item is not None:
            assert "Fooish" not in item
            assert "zzz" not in item


@FEW
@CASES
def test_masks_stand_where_the_detail_says(feed: str, seed: int, protected: bool) -> None:
    plan, value = PLANS[feed], Maker(seed).record(PLANS[feed])
    done = redact(value, plan)
    placed = {pointer: item for pointer, _, item in leaves(done.value)}
    for pointer, _, _, start, end in done.masks:
        assert placed[pointer][start:end] == "[removed]"
    for pointer, text in done.held.items():
        assert placed[pointer] == "[removed]"
        assert "zzz" in text


def test_keys_that_look_like_pointers_are_dropped_and_their_drift_is_bounded() -> None:
    plan = PLANS["marac"]
    value = {f"~/{number}" + "x" * 500: [number] for number in range(100)}
    done = redact(value, plan)
    assert done.value == {}
    assert done.dropped == {"drift": 100}
    assert len(done.drift) == 50
    assert all(path.startswith("/~0~1") and len(path) == 200 for path in done.drift)


def test_list_elements_keep_their_identity() -> None:
    plan = PLANS["police-crime"]
    value = {"enquiryLog": [["a Fooish", "b"], [], ["c", None, "zzz"]], "persons": [{"id": "1"}, {}, {"id": "3"}]}
    done = redact(value, plan)
    assert done.value["enquiryLog"] == [["a [removed]", "b"], [], ["c", None, "[removed]"]]
    assert done.value["persons"] == [{"id": "#IDENTIFIER:1"}, {}, {"id": "#IDENTIFIER:3"}]
    assert done.held == {"/enquiryLog/2/2": "zzz"}


def test_a_container_of_dropped_leaves_goes_with_them_filled_or_empty() -> None:
    plan = PLANS["police-crime"]
    filled = {"tasks": [{"title": "form"}], "persons": [{"id": "1", "immigration": {"status": "x"}}]}
    empty = {"tasks": [], "persons": [{"id": "1", "immigration": {}}]}
    assert json.dumps(redact(filled, plan).value) == json.dumps(redact(empty, plan).value)


def test_a_wrong_type_under_a_dropped_leaf_is_dropped_like_any_other() -> None:
    plan = PLANS["police-crime"]
    value = {"persons": [{"id": "1", "nationality": {"code": ["F", "G"]}, "firstLanguage": 7}]}
    done = redact(value, plan)
    assert done.value == {"persons": [{"id": "#IDENTIFIER:1"}]}
    assert done.dropped == {"plan": 3}
