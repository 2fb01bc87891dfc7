"""ContrastiveCrop's idea on bird's-eye views of LiDAR sweeps: data, encoders, views, metrics and pictures."""
