"""Tags: classes of cells or tiles that words propose, a person reviews and a detector learns."""
