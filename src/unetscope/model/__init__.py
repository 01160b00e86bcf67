"""The U-Net: its description as data, its sizes and cost from that description alone, and the network in torch."""
