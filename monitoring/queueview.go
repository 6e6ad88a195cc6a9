package monitoring

import (
	"net/http"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"
)

// SharedRedis lets the queue library use a client that is there already. What
// closes a connection made from it closes the client: hand it only to what
// lives as long as the client does.
func SharedRedis(client redis.UniversalClient) asynq.RedisConnOpt { return sharedRedis{client} }

type sharedRedis struct{ client redis.UniversalClient }

var _ asynq.RedisConnOpt = sharedRedis{}

func (s sharedRedis) MakeRedisClient() any { return s.client }

// QueueView serves Asynqmon below rootPath, e.g. /queues; mount it at
// rootPath + "/". It only shows: an action there would bypass the ledger.
func QueueView(redis asynq.RedisConnOpt, rootPath string) http.Handler {
	view := asynqmon.New(asynqmon.Options{RootPath: rootPath, RedisConnOpt: redis, ReadOnly: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "The queue view only shows; use waybill delivery retry or cancel to act.", http.StatusMethodNotAllowed)
			return
		}
		view.ServeHTTP(w, r)
	})
}
