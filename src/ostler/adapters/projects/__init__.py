"""Projects on disk: their folders, worktrees and files. What to do with their services belongs to the engine."""
