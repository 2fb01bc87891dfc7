"""What the command lines of several tools say alike; imports nothing slow."""

INIT_HELP = "weights to start from: a file, timm:NAME, torchvision:NAME, or random"
BACKBONE_HELP = "in place of the config's: timm:NAME, torchvision:NAME or mmdet:resnetDEPTH"
