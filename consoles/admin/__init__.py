"""The pages of the admin console: one file per page family. `docs/console.md` says how to add one."""
