"""``annex-d365 reconcile``: both sides are read and compared, and drift is mended by the target itself."""
