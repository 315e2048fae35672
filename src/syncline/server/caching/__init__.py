"""What is kept in a cache that may lie: each answer from it is held against what the database says now, or against its own age."""
