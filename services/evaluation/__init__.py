"""How good a detector is, measured on marked-up texts. Pure: texts, marks and masks in, figures out."""
