package views_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"kring/views"
)

// TestThePageLoadsNothingAndAllowsNothingElse: neither a source of another site, nor markup
// from data, nor a style or script that is not its own.
func TestThePageLoadsNothingAndAllowsNothingElse(t *testing.T) {
	w := httptest.NewRecorder()
	(&views.View{Source: list{}}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	page, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || len(page) < 5000 {
		t.Fatalf("%d %s, %d bytes", w.Code, w.Header(), len(page))
	}
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if !regexp.MustCompile(`style-src 'sha256-[A-Za-z0-9+/]{43}='; script-src 'sha256-[A-Za-z0-9+/]{43}='$`).MatchString(policy) || strings.Contains(policy, "unsafe") {
		t.Errorf("%s", policy)
	}
	if strings.Count(page, "<script>") != 1 || strings.Count(page, "<style>") != 1 {
		t.Error("one script and one style, whose hashes the policy has")
	}
	for _, no := range []string{"http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "src=", "@import", "url(", " style=", "onclick"} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), no) {
			t.Errorf("the page has %s", no)
		}
	}
}
