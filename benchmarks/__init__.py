"""Speed side by side with peers in one run, and intervals' coverage."""
