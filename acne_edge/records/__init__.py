"""The audit trail: a file that says what was predicted, of what, by what and when, and shows when somebody has changed it."""
