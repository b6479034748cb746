"""Colours, markers and dashes of all figures, pages and sheets."""

INK, MUTED, RULE = "#22262b", "#7b828c", "#d5d9de"
NORMAL, ANOMALOUS, THIRD = "#2f77b4", "#d8632a", "#4f9a6a"
ACCENTS = (ANOMALOUS, NORMAL, THIRD, "#8d62ad", "#b58a1b", "#4aa3ad")

PRINTED = {0: "#86b6dc", 1: "#8c2d04", -1: MUTED}
"""Colours of normal, anomalous and unlabelled images in print: light, dark and between in grey."""

PRINTED_LINES = ("#8c2d04", "#4880b4", INK, "#c48a1e", "#4b6e2f")
"""Colours of lines in print, each of another lightness; beyond them markers and dashes tell."""

MARKERS = "osD^vPX*<>"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
