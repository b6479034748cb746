"""Student-teacher feature pyramid matching on networks of timm, for anokit."""
