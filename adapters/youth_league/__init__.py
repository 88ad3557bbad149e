"""Youth League (共青团): the 12355 vendor's REST platform with paging and signed webhooks; volunteers and care classes."""
