"""What the driver sends, and when: fixed by the seed before anything is sent."""
