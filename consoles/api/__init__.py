"""The Admin REST API: one file for each resource over the bases in `resource.py`; `docs/admin-api.md` tells."""
