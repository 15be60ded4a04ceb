"""What callers notice while workers are killed or somebody attacks."""
