"""What masks and the words around them still tell: an attacker on texts about foreign and British victims."""
