"""What a project is made of: its folder, its images, the folders in which sources are developed."""
