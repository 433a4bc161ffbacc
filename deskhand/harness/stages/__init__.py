"""What every action passes on its way to a computer, stage by stage."""
