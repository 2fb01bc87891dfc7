"""Pseudo-boxes of sweeps: clusters fitted by turned boxes of the sizes that road users have, and rounds of training."""
