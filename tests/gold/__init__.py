"""The project's own evaluation corpus: made-up records with the spans that must not leave."""
