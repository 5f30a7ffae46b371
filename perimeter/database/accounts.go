package database

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Accounts of the server's own. Nobody logs in to them over the network.
const (
	ownerRole   = "ringwall_owner"   // PostgreSQL: whose tables the app's are
	maskRole    = "ringwall_mask"    // whose rights a mask's view has
	restoreRole = "ringwall_restore" // MariaDB: reads a dump back, and owns its views
)

// A user is one of a tier's two accounts. Both have the same rights; only one is
// open, except while the tier's instances are rolled from one to the other.
type user struct {
	tier, name string
	password   string // empty: stays what it is
	open       bool
	limit      int // connections
}

// suffixes of a tier's two users.
var suffixes = []string{"_a", "_b"}

func other(name string) string {
	if base, ok := strings.CutSuffix(name, "_a"); ok {
		return base + "_b"
	}
	return strings.TrimSuffix(name, "_b") + "_a"
}

// maxConnections is the server's bound: each tier has two users.
func (s *Server) maxConnections() int {
	n := 10
	for _, t := range s.plan.Tiers {
		n += 2 * t.DatabaseConnections()
	}
	return n
}

func (s *Server) secretFile(tier string) string {
	return filepath.Join(s.dirs.Secrets, "database-"+tier+".json")
}

// Secret is what a tier needs to reach the database. It is made at the first call.
func (s *Server) Secret(tier string) (plan.Secret, error) {
	want := plan.Secret{Host: s.plan.VPC.Database.String(), Port: s.plan.Database.Port,
		DBName: s.plan.Database.Name, Engine: s.plan.Database.Engine}
	file := s.secretFile(tier)
	have, err := readSecret(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		want.Username, want.Password = tier+"_a", newPassword()
	case err != nil:
		return plan.Secret{}, fmt.Errorf("%w; mend it, or delete the file, and the next start makes new credentials", err)
	case !slices.Contains([]string{tier + "_a", tier + "_b"}, have.Username):
		return plan.Secret{}, fmt.Errorf("reading the database credentials of tier %s: %s names another user; remove it, and the next start makes new ones", tier, file)
	default:
		want.Username, want.Password = have.Username, have.Password
		if want == have {
			return have, nil
		}
	}
	return want, s.writeSecret(tier, want)
}

func (s *Server) writeSecret(tier string, secret plan.Secret) error {
	b, err := json.Marshal(secret)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dirs.Secrets, 0o700); err != nil {
		return fmt.Errorf("making the directory of secrets: %w", err)
	}
	if err := durable.WriteFileAs(s.secretFile(tier), append(b, '\n'), 0o600, os.Geteuid(), os.Getegid()); err != nil {
		return fmt.Errorf("writing the database credentials of tier %s: %w", tier, err)
	}
	return nil
}

// Grant makes the database, the users and exactly the rights that the plan says,
// for the tables that exist now. It changes nothing where nothing is to change,
// and takes away what should no longer be. Applications may run meanwhile.
func (s *Server) Grant(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.eng.prepare(ctx); err != nil {
		return fmt.Errorf("preparing the database %s: %w", s.plan.Database.Name, err)
	}
	var users []user
	for _, t := range s.plan.Tiers {
		secret, err := s.Secret(t.Name)
		if err != nil {
			return err
		}
		for _, suffix := range suffixes {
			u := user{tier: t.Name, name: t.Name + suffix, limit: t.DatabaseConnections()}
			if u.name == secret.Username {
				u.password, u.open = secret.Password, true
			} else {
				u.open = s.rolling[t.Name] || perimeter.Down("database/old-password")
			}
			users = append(users, u)
		}
	}
	if err := s.eng.accounts(ctx, users); err != nil {
		return fmt.Errorf("making the database's users: %w", err)
	}
	tables, err := s.eng.tables(ctx)
	if err != nil {
		return fmt.Errorf("listing the tables of database %s: %w", s.plan.Database.Name, err)
	}
	if err := s.eng.grant(ctx, tables); err != nil {
		return fmt.Errorf("granting rights on database %s: %w", s.plan.Database.Name, err)
	}
	return nil
}

// A Rotation is a change of a tier's credentials that is under way: the former
// and the new ones both work until Finish or Undo.
type Rotation struct {
	Secret plan.Secret // the new credentials; already on disk

	s      *Server
	tier   string
	former plan.Secret
}

// Rotate gives a tier new credentials, beside the former.
func (s *Server) Rotate(ctx context.Context, tier string) (*Rotation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.plan.Tier(tier)
	if t == nil {
		return nil, fmt.Errorf("rotating the database credentials: the site has no tier %q", tier)
	}
	if s.rolling[tier] {
		return nil, fmt.Errorf("rotating the database credentials of tier %s: another rotation is under way; wait for its end", tier)
	}
	former, err := s.Secret(tier)
	if err != nil {
		return nil, err
	}
	secret := former
	secret.Username, secret.Password = other(former.Username), newPassword()
	if err := s.eng.accounts(ctx, []user{{tier: tier, name: secret.Username, password: secret.Password, open: true, limit: t.DatabaseConnections()}}); err != nil {
		return nil, fmt.Errorf("making the new database credentials of tier %s: %w", tier, err)
	}
	s.rolling[tier] = true
	r := &Rotation{Secret: secret, s: s, tier: tier, former: former}
	if err := s.writeSecret(tier, secret); err != nil {
		return nil, errors.Join(err, r.lock(ctx, secret.Username))
	}
	return r, nil
}

// Finish locks the former user and ends its connections. It is to be called when
// no instance uses it any more.
func (r *Rotation) Finish(ctx context.Context) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.lock(ctx, r.former.Username)
}

// Undo puts the former credentials back and locks the new ones.
func (r *Rotation) Undo(ctx context.Context) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if err := r.s.writeSecret(r.tier, r.former); err != nil {
		return err
	}
	return r.lock(ctx, r.Secret.Username)
}

func (r *Rotation) lock(ctx context.Context, name string) error {
	delete(r.s.rolling, r.tier)
	if perimeter.Down("database/old-password") {
		return nil
	}
	err := r.s.eng.accounts(ctx, []user{{tier: r.tier, name: name, limit: r.s.plan.Tier(r.tier).DatabaseConnections()}})
	if err == nil {
		err = r.s.eng.endSessions(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("locking the database user %s: %w; the next start locks it", name, err)
	}
	return nil
}

// newPassword is 256 random bits in letters that no client has to quote.
func newPassword() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// scramVerifier is what PostgreSQL stores for a password (RFC 5803). The server
// is given this, so that no statement and no log of it ever holds the password.
func scramVerifier(password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	const rounds = 4096
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}

// nativeVerifier is what MariaDB stores for a password. SHA-1 is no weakness for
// 256 random bits, and it is the one method that every client knows.
func nativeVerifier(password string) string {
	one := sha1.Sum([]byte(password))
	two := sha1.Sum(one[:])
	return "*" + strings.ToUpper(hex.EncodeToString(two[:]))
}
