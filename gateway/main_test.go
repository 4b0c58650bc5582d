package gateway

import (
	"testing"

	"kring/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
