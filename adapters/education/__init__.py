"""Education (教育): a REST/JSON platform with app-key signatures."""
