"""What the pages share and only pages use. Imports run one way: pages -> ui -> agegender_core."""
