"""The Relate dock: features of a project's slides against its patients' data."""
