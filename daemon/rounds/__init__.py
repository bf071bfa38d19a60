"""What the daemon does over and over: a file for each round of work, and one for each part that a round is made of."""
