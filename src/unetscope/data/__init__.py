"""Images, label images and folders of them; knows arrays and files, not networks and not torch."""
