"""The labelling page: who is asked what, what they see, and the web application that shows it."""
