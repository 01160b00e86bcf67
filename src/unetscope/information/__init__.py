"""How information flows through a network: capture, estimates with their controls, and the profile that holds them."""
