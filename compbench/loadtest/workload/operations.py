"""The operations of Engram's `loadtest`, and the limits within which their parameters are drawn."""

from __future__ import annotations

# Order and labels of the operations, as in Engram's report.
LABELS = ("Store", "Recall", "Search", "PatternCompletion")
STORE, RECALL, SEARCH, COMPLETION = range(4)
RECALL_LIMITS = (1, 5)
SEARCH_LIMITS = (5, 50)
RECALL_THRESHOLDS = (0.5, 0.9)
# More than two steps along the edges of any graph that a scenario may have lead to.
TRAVERSAL_LIMIT = 1000
