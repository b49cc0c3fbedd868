"""What a person looks at: facts about a store, and pages drawn from them. Stores are read here, never written."""
