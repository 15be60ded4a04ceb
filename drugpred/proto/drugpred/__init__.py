"""The drugpred packages of the contracts."""
