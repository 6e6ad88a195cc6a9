package databricks

import (
	"crypto/rand"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

type recipient struct {
	Name       string           `json:"name"`
	Type       string           `json:"authentication_type"`
	Comment    string           `json:"comment,omitempty"`
	Identifier string           `json:"data_recipient_global_metastore_id,omitempty"`
	Metastore  string           `json:"metastore_id,omitempty"`
	Cloud      string           `json:"cloud,omitempty"`
	Region     string           `json:"region,omitempty"`
	Addresses  *addresses       `json:"ip_access_list,omitempty"`
	Activated  bool             `json:"activated"`
	Tokens     []recipientToken `json:"tokens,omitempty"`
	Expires    int64            `json:"expiration_time,omitempty"`
	Owner      string           `json:"owner"`
	CreatedAt  int64            `json:"created_at"`
}

type addresses struct {
	Allowed []string `json:"allowed_ip_addresses,omitempty"`
}

type recipientToken struct {
	ID        string `json:"id"`
	URL       string `json:"activation_url,omitempty"` // empty once it was used
	CreatedAt int64  `json:"created_at"`
	Expires   int64  `json:"expiration_time,omitempty"`

	link, bearer string
}

// https://docs.databricks.com/delta-sharing/create-recipient.html
var identifier = regexp.MustCompile(`^(aws|azure|gcp):[^:]+:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// maxAddresses: https://docs.databricks.com/delta-sharing/access-list.html
const maxAddresses = 100

// createRecipient: https://docs.databricks.com/api/workspace/recipients/create
func (s *Server) createRecipient(_ *http.Request, body []byte) (any, *failure) {
	in, refusal := decode[struct {
		Name       string     `json:"name"`
		Type       string     `json:"authentication_type"`
		Comment    string     `json:"comment"`
		Identifier string     `json:"data_recipient_global_metastore_id"`
		Expires    int64      `json:"expiration_time"`
		Addresses  *addresses `json:"ip_access_list"`
	}](body)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := s.need("metastore", MetastoreID, "", "CREATE_RECIPIENT"); refusal != nil {
		return nil, refusal
	}
	r := &recipient{Name: in.Name, Type: in.Type, Comment: in.Comment, Identifier: in.Identifier, Addresses: in.Addresses,
		Owner: Principal, CreatedAt: s.now()}
	if refusal := s.validRecipient(r); refusal != nil {
		return nil, refusal
	}
	if r.Type == "DATABRICKS" {
		parts := strings.SplitN(r.Identifier, ":", 3)
		r.Cloud, r.Region, r.Metastore = parts[0], parts[1], parts[2]
	} else {
		r.Tokens = []recipientToken{s.newToken()}
		if in.Expires != 0 {
			r.Tokens[0].Expires = in.Expires
		}
	}
	s.state.recipients[r.Name] = r
	return r, nil
}

func (s *Server) validRecipient(r *recipient) *failure {
	switch {
	case !validName(r.Name):
		return invalid("'" + r.Name + "' is not a valid name")
	case s.state.recipients[r.Name] != nil:
		return fail(http.StatusConflict, "RECIPIENT_ALREADY_EXISTS", "Recipient '"+r.Name+"' already exists")
	case r.Type == "DATABRICKS" && !identifier.MatchString(r.Identifier):
		return invalid("'" + r.Identifier + "' is not a valid sharing identifier: <cloud>:<region>:<uuid>")
	case r.Type == "DATABRICKS" && r.Addresses != nil:
		return invalid("ip_access_list is only for recipients of type TOKEN")
	case r.Type == "DATABRICKS" && r.Identifier == "aws:us-east-1:"+MetastoreID:
		return invalid("Cannot create a recipient for the metastore itself.")
	case r.Type != "DATABRICKS" && r.Type != "TOKEN":
		return invalid("Unsupported authentication_type '" + r.Type + "'")
	case r.Type == "TOKEN" && r.Identifier != "":
		return invalid("data_recipient_global_metastore_id is only for recipients of type DATABRICKS")
	}
	// One recipient a metastore of a customer:
	// https://github.com/databricks/terraform-provider-databricks/issues/3930
	for _, other := range s.state.recipients {
		if r.Type == "DATABRICKS" && other.Identifier == r.Identifier {
			return fail(http.StatusConflict, "RECIPIENT_ALREADY_EXISTS", "There is already a Recipient object '"+other.Name+"' with same sharing identifier "+r.Identifier+".")
		}
	}
	if refusal := validAddresses(r.Addresses); refusal != nil {
		return refusal
	}
	return s.quota("recipients", len(s.state.recipients))
}

func validAddresses(a *addresses) *failure {
	if a == nil {
		return nil
	}
	if len(a.Allowed) > maxAddresses {
		return invalid("At most 100 IP addresses are allowed.")
	}
	for _, cidr := range a.Allowed {
		if _, err := netip.ParsePrefix(cidr); err == nil {
			continue
		}
		if _, err := netip.ParseAddr(cidr); err != nil {
			return invalid("'" + cidr + "' is not an IP address or CIDR range")
		}
	}
	return nil
}

func (s *Server) newToken() recipientToken {
	s.state.serial++
	link := rand.Text()
	t := recipientToken{ID: "token-" + pageToken(s.state.serial), link: link, bearer: rand.Text(), CreatedAt: s.now(),
		URL: s.URL + "/delta_sharing/retrieve_config.html?" + link}
	if s.state.lifetime > 0 {
		t.Expires = s.opts.Now().Add(s.state.lifetime).UnixMilli()
	}
	return t
}

func (s *Server) recipient(r *http.Request) (*recipient, *failure) {
	name := r.PathValue("name")
	if rec := s.state.recipients[name]; rec != nil {
		s.expire(rec)
		return rec, nil
	}
	return nil, notFound("RECIPIENT_DOES_NOT_EXIST", "Recipient '"+name+"' does not exist.")
}

// expire forgets the tokens whose time is over.
func (s *Server) expire(r *recipient) {
	r.Tokens = slices.DeleteFunc(r.Tokens, func(t recipientToken) bool { return t.Expires != 0 && t.Expires <= s.now() })
}

func (s *Server) getRecipient(r *http.Request, _ []byte) (any, *failure) {
	rec, refusal := s.recipient(r)
	if refusal != nil {
		return nil, refusal
	}
	return rec, nil
}

func (s *Server) listRecipients(r *http.Request, _ []byte) (any, *failure) {
	var list []recipient
	for _, name := range slices.Sorted(maps.Keys(s.state.recipients)) {
		list = append(list, *s.state.recipients[name])
	}
	return page(r, "recipients", list), nil
}

// updateRecipient: https://docs.databricks.com/api/workspace/recipients/update
func (s *Server) updateRecipient(r *http.Request, body []byte) (any, *failure) {
	rec, refusal := s.owned(r)
	if refusal != nil {
		return nil, refusal
	}
	in, refusal := decode[struct {
		Comment   string     `json:"comment"`
		Expires   int64      `json:"expiration_time"`
		Addresses *addresses `json:"ip_access_list"`
	}](body)
	if refusal != nil {
		return nil, refusal
	}
	if in.Addresses != nil {
		if refusal := validAddresses(in.Addresses); refusal != nil {
			return nil, refusal
		}
		rec.Addresses = in.Addresses
	}
	if in.Comment != "" {
		rec.Comment = in.Comment
	}
	if in.Expires != 0 && len(rec.Tokens) > 0 {
		rec.Tokens[len(rec.Tokens)-1].Expires = in.Expires
	}
	return rec, nil
}

func (s *Server) owned(r *http.Request) (*recipient, *failure) {
	rec, refusal := s.recipient(r)
	if refusal == nil && !ours(rec.Owner) {
		refusal = denied("MANAGE", "Recipient", rec.Name)
	}
	return rec, refusal
}

func (s *Server) deleteRecipient(r *http.Request, _ []byte) (any, *failure) {
	rec, refusal := s.owned(r)
	if refusal != nil {
		return nil, refusal
	}
	delete(s.state.recipients, rec.Name)
	for key := range s.state.privileges {
		if strings.HasPrefix(key, rec.Name+"/share/") {
			delete(s.state.privileges, key)
		}
	}
	return nil, nil
}

// rotate gives a new token and ends the old one after a while:
// https://docs.databricks.com/api/workspace/recipients/rotatetoken
func (s *Server) rotate(r *http.Request, body []byte) (any, *failure) {
	rec, refusal := s.owned(r)
	if refusal != nil {
		return nil, refusal
	}
	in, refusal := decode[struct {
		Seconds int64 `json:"existing_token_expire_in_seconds"`
	}](body)
	switch {
	case refusal != nil:
		return nil, refusal
	case rec.Type != "TOKEN":
		return nil, invalid("Only recipients of type TOKEN have tokens.")
	case in.Seconds < 0:
		return nil, invalid("existing_token_expire_in_seconds must not be negative")
	case len(rec.Tokens) > 1:
		// https://docs.databricks.com/delta-sharing/create-recipient-token.html
		return nil, fail(http.StatusBadRequest, "INVALID_STATE", "There are already two activated tokens for recipient '"+rec.Name+"'.")
	}
	end := s.opts.Now().Add(time.Duration(in.Seconds) * time.Second).UnixMilli()
	for i, t := range rec.Tokens {
		if t.Expires == 0 || end < t.Expires { // never later than it was
			rec.Tokens[i].Expires = end
		}
	}
	rec.Tokens = append(rec.Tokens, s.newToken())
	rec.Activated = false
	s.expire(rec)
	return rec, nil
}

// activate hands the credential file out once:
// https://docs.databricks.com/api/workspace/recipientactivation/retrievetoken
func (s *Server) activate(r *http.Request, _ []byte) (any, *failure) {
	link := r.PathValue("link")
	for _, rec := range s.state.recipients {
		for i, t := range rec.Tokens {
			if t.link == link && t.URL != "" {
				rec.Tokens[i].URL, rec.Activated = "", true
				return map[string]any{"shareCredentialsVersion": 1, "bearerToken": t.bearer,
					"endpoint": s.URL + "/api/2.0/delta-sharing/metastores/" + MetastoreID}, nil
			}
		}
	}
	return nil, notFound("ACTIVATION_TOKEN_DOES_NOT_EXIST", "The activation link was used or never was.")
}
