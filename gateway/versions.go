package gateway

// betweenServers says that key is of an API that brokers and controllers use among
// themselves. A gateway's clients are neither.
func betweenServers(key int16) bool {
	switch {
	case key >= 4 && key <= 7, key == 27, key >= 52 && key <= 54, key == 56, key == 58, key == 59, key == 62, key == 63,
		key == 67, key == 70, key == 73, key >= 82 && key <= 87:
		return true
	}
	return false
}
