SELECT revision FROM catalog
