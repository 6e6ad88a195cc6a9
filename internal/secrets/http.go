package secrets

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
)

// maxAnswerBytes bounds what a manager answers: a secret in base64, and what
// is said of it.
const maxAnswerBytes = 4 * maxSecretBytes

// reply is what an answer says beside its body.
type reply struct {
	status int
	header http.Header
}

func (r reply) ok() bool { return r.status == http.StatusOK }

// call makes a request and decodes the JSON of its answer, whatever the
// answer's status, into out.
func call(ctx context.Context, client *http.Client, req *http.Request, out any) (reply, error) {
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return reply{}, transport(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return reply{}, transport(ctx, err)
	case len(text) > maxAnswerBytes:
		return reply{}, missing("%v", tooLarge("the manager's answer"))
	}
	r := reply{resp.StatusCode, resp.Header}
	if err := json.Unmarshal(text, out); err != nil && r.ok() {
		return reply{}, missing("the answer is not the JSON of this manager") // the error would show a part of it
	}
	return r, nil
}
