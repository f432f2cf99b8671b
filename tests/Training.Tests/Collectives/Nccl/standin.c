/* A stand-in for NCCL, CUDA's streams and libtorch's current stream, on host memory, for ranks that are threads of one process.
 *
 * It keeps what makes the real ones hard to use: a call says "in progress" (7) and puts its kernel on the stream later, from a thread of
 * its own; kernels wait for all ranks, and for ever where one does not come; an aborted kernel ends with half of its work done; errors
 * of the network show only where they are asked for. And it notices misuse that the real ones answer with wrong numbers: an event
 * recorded before a call has settled, a call on top of one in progress, two threads in one communicator.
 *
 * One lock and one condition for everything: slow, and easy to believe.  cc -shared -fPIC -pthread */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS, CUDA_ERROR, SYSTEM_ERROR, INTERNAL_ERROR, INVALID_ARGUMENT, INVALID_USAGE, REMOTE_ERROR, IN_PROGRESS };
enum { BYTE = 1, FLOAT = 7, CUDA_NOT_READY = 600, MOST_RANKS = 16, SLOTS = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char misuse[512];
static int alive, settle_microseconds = 300, abort_microseconds, fail_rank = -1, fail_operation, ids, disagreements;

static void blame(const char *what) { if (!misuse[0]) snprintf(misuse, sizeof misuse, "%s", what); }
static void enter(void) { pthread_mutex_lock(&lock); }
static void leave(void) { pthread_cond_broadcast(&changed); pthread_mutex_unlock(&lock); }
static void await_change(void) { pthread_cond_wait(&changed, &lock); }
static void nap(int microseconds) { pthread_mutex_unlock(&lock); usleep(microseconds); pthread_mutex_lock(&lock); }

/* ---- streams and events ---- */

struct event { long recorded, passed; };
struct operation;
struct work { struct work *next; struct event *record, *wait; long version; struct operation *kernel; float *fill; long count; float value; int microseconds; };
struct stream { pthread_t thread; struct work *first, **last; int busy, ending, unsettled; };

static __thread struct stream *current;
static void run_kernel(struct operation *);

static void *serve(void *argument)
{
    struct stream *s = argument;
    enter();
    for (;;) {
        while (!s->first && !s->ending) await_change();
        if (!s->first) break;
        struct work *w = s->first;
        if (!(s->first = w->next)) s->last = &s->first;
        s->busy = 1;
        if (w->wait) while (w->wait->passed < w->version) await_change();
        if (w->record) w->record->passed = w->version;
        if (w->fill) { nap(w->microseconds); for (long i = 0; i < w->count; i++) w->fill[i] = w->value; }
        if (w->kernel) run_kernel(w->kernel);
        s->busy = 0;
        free(w);
        pthread_cond_broadcast(&changed);
    }
    leave();
    return 0;
}

static struct work *put(struct stream *s)
{
    struct work *w = calloc(1, sizeof *w);
    *s->last = w;
    s->last = &w->next;
    pthread_cond_broadcast(&changed);
    return w;
}

int cudaSetDevice(int device) { (void)device; return 0; }
int cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return 0; }
int cudaDeviceGetPCIBusId(char *text, int size, int device) { snprintf(text, size, "standin:%d", device); return 0; }
const char *cudaGetErrorString(int code) { return code == CUDA_NOT_READY ? "not ready" : "an error of the stand-in"; }
int aoti_torch_get_current_cuda_stream(int device, void **stream) { (void)device; *stream = current; return 0; }

int cudaStreamCreateWithPriority(struct stream **stream, unsigned flags, int priority)
{
    struct stream *s = *stream = calloc(1, sizeof *s);
    enter();
    (void)priority;
    if (flags != 1) blame("a stream of NCCL's must be non-blocking");
    s->last = &s->first;
    alive++;
    pthread_create(&s->thread, 0, serve, s);
    leave();
    return 0;
}

int cudaStreamDestroy(struct stream *s)
{
    enter(); s->ending = 1; alive--; leave();
    pthread_join(s->thread, 0);
    free(s);
    return 0;
}

int cudaStreamQuery(struct stream *s)
{
    enter(); int busy = s && (s->first || s->busy); leave();
    return busy ? CUDA_NOT_READY : 0;
}

int cudaEventCreateWithFlags(struct event **e, unsigned flags) { (void)flags; enter(); alive++; leave(); *e = calloc(1, sizeof **e); return 0; }
int cudaEventDestroy(struct event *e) { enter(); alive--; leave(); free(e); return 0; }

int cudaEventRecord(struct event *e, struct stream *s)
{
    enter();
    long version = ++e->recorded;
    if (!s) e->passed = version; /* the default stream is the calling thread itself */
    else {
        if (s->unsettled) blame("an event was recorded behind a call that had not settled");
        struct work *w = put(s);
        w->record = e;
        w->version = version;
    }
    leave();
    return 0;
}

int cudaStreamWaitEvent(struct stream *s, struct event *e, unsigned flags)
{
    enter();
    (void)flags;
    if (s) { struct work *w = put(s); w->wait = e; w->version = e->recorded; }
    leave();
    return 0;
}

int cudaEventQuery(struct event *e)
{
    enter(); int passed = e->passed >= e->recorded; leave();
    return passed ? 0 : CUDA_NOT_READY;
}

/* ---- communicators ---- */

struct id { char bytes[128]; };
struct config { size_t size; unsigned magic, version; int blocking; };
struct slot { int arrived, computed, dead; struct operation *of[MOST_RANKS]; };
struct world { struct world *next; struct id id; int size, arrived; struct slot slots[SLOTS]; };
struct comm { struct world *world; pthread_t helper; int has_helper, rank, state, fault, aborted, inside, finalized, operations, in_flight; struct operation *unsent, **last; };
struct operation { struct operation *next; struct comm *comm; const char *name; int number, type, root; long count; const char *send; char *receive; struct stream *stream; };

static struct world *worlds;
static __thread int grouped;
static __thread struct comm *of_group;

static long bytes(int type, long count) { return count * (type == FLOAT ? 4 : 1); }

static int is_sum(const char *name) { return !strcmp(name, "reduce") || strstr(name, "all-reduce") || strstr(name, "reduce-scatter"); }

/* This rank's result, from all ranks' inputs, in the order of ranks. */
static void compute(struct slot *slot, struct operation *mine, char *result)
{
    int world = mine->comm->world->size, rank = mine->comm->rank;
    long size = bytes(mine->type, mine->count);
    if (is_sum(mine->name)) {
        long offset = strcmp(mine->name, "reduce-scatter") ? 0 : rank * size;
        if (!strcmp(mine->name, "reduce") && rank != mine->root) return;
        memcpy(result, slot->of[0]->send + offset, size);
        for (int r = 1; r < world; r++)
            for (long i = 0; i < mine->count; i++) ((float *)result)[i] += ((const float *)(slot->of[r]->send + offset))[i];
    }
    else if (!strcmp(mine->name, "broadcast")) memcpy(result, slot->of[mine->root]->send, size);
    else for (int r = 0; r < world; r++) memcpy(result + r * size, slot->of[r]->send, size);
}

static void run_kernel(struct operation *mine)
{
    struct comm *comm = mine->comm;
    struct world *world = comm->world;
    struct slot *slot = &world->slots[mine->number % SLOTS];
    long size = bytes(mine->type, mine->count) * (strcmp(mine->name, "all-gather") ? 1 : world->size);
    if (!strcmp(mine->name, "reduce") && comm->rank != mine->root) size = 0;

    for (int r = 0; r < world->size; r++)
        if (slot->of[r] && (strcmp(slot->of[r]->name, mine->name) || slot->of[r]->count != mine->count || slot->of[r]->root != mine->root)) {
            disagreements++;
            slot->dead = 1; /* the real one too would now wait for ever, or worse */
        }
    slot->of[comm->rank] = mine;
    slot->arrived++;
    pthread_cond_broadcast(&changed);
    int stuck = comm->rank == fail_rank && mine->number >= fail_operation;
    if (stuck) comm->fault = REMOTE_ERROR;
    while (!comm->aborted && (stuck || slot->dead || slot->arrived < world->size)) await_change();
    char *result = calloc(1, size + 1);
    if (!comm->aborted) {
        compute(slot, mine, result);
        slot->computed++;
        pthread_cond_broadcast(&changed);
        while (!comm->aborted && slot->computed < world->size) await_change();
    }
    if (slot->computed == world->size) memcpy(mine->receive, result, size);
    else {
        slot->dead = 1; /* an aborted kernel leaves half-written buffers, and peers that wait */
        memset(mine->receive, 0xAB, size / 2);
    }
    free(result);
    comm->in_flight--;
    pthread_cond_broadcast(&changed);
    /* operations are not freed: peers look at them */
}

static void *launch(void *argument)
{
    struct comm *comm = argument;
    enter();
    nap(settle_microseconds);
    for (struct operation *o = comm->unsent; o; o = o->next) {
        o->stream->unsettled--;
        if (comm->aborted) { comm->in_flight--; continue; }
        put(o->stream)->kernel = o;
    }
    comm->unsent = 0;
    comm->last = &comm->unsent;
    comm->state = SUCCESS;
    leave();
    return 0;
}

static void help(struct comm *comm, void *(*with)(void *))
{
    if (comm->has_helper) pthread_join(comm->helper, 0); /* it has set the state as its last act */
    comm->has_helper = 1;
    comm->state = IN_PROGRESS;
    pthread_create(&comm->helper, 0, with, comm);
}

static int begin(struct comm *comm)
{
    if (comm->inside++) blame("two threads were in one communicator");
    if (comm->aborted) blame("a call came after the abort");
    if (comm->state == IN_PROGRESS) blame("a call came while another was in progress");
    return comm->state == IN_PROGRESS || comm->aborted || comm->finalized ? INVALID_ARGUMENT : comm->fault;
}

static int enqueue(const char *name, const void *send, void *receive, size_t count, int type, int root, struct comm *comm, struct stream *stream)
{
    enter();
    int refused = begin(comm);
    if (!stream) blame("NCCL was put on the default stream"), refused = INVALID_ARGUMENT;
    if (!refused) {
        struct operation *o = calloc(1, sizeof *o);
        *o = (struct operation){ 0, comm, name, comm->operations++, type, root, (long)count, send, receive, stream };
        *comm->last = o;
        comm->last = &o->next;
        stream->unsettled++;
        comm->in_flight++;
        if (grouped) of_group = comm;
        else help(comm, launch);
    }
    comm->inside--;
    leave();
    return refused ? refused : grouped ? SUCCESS : IN_PROGRESS;
}

static void *meet(void *argument)
{
    struct comm *comm = argument;
    enter();
    nap(settle_microseconds);
    comm->world->arrived++;
    pthread_cond_broadcast(&changed);
    while (!comm->aborted && comm->world->arrived < comm->world->size) await_change();
    comm->state = SUCCESS;
    leave();
    return 0;
}

static void *quiesce(void *argument)
{
    struct comm *comm = argument;
    enter();
    nap(settle_microseconds);
    while (!comm->aborted && comm->in_flight > 0) await_change();
    comm->state = SUCCESS;
    leave();
    return 0;
}

int ncclGetVersion(int *version) { *version = 22809; return SUCCESS; }
int ncclGetUniqueId(struct id *id) { enter(); memset(id, 0, sizeof *id); snprintf(id->bytes, sizeof *id, "standin-%d", ++ids); leave(); return SUCCESS; }
const char *ncclGetLastError(struct comm *comm) { (void)comm; return misuse; }
const char *ncclGetErrorString(int result)
{
    static const char *words[] = { "no error", "unhandled cuda error", "unhandled system error", "internal error", "invalid argument", "invalid usage", "remote process exited or there was a network error", "NCCL operation in progress" };
    return words[result];
}

int ncclCommInitRankConfig(struct comm **made, int size, struct id id, int rank, struct config *config)
{
    if (config->magic != 0xcafebeef || config->size < sizeof *config || config->blocking != 0 || size > MOST_RANKS) return INVALID_ARGUMENT;
    enter();
    struct world *world = worlds;
    while (world && memcmp(&world->id, &id, sizeof id)) world = world->next;
    if (!world) {
        world = calloc(1, sizeof *world);
        world->next = worlds;
        world->id = id;
        world->size = size;
        worlds = world;
    }
    if (world->size != size) blame("ranks of one id gave different world sizes");
    struct comm *comm = *made = calloc(1, sizeof *comm);
    comm->world = world;
    comm->rank = rank;
    comm->last = &comm->unsent;
    alive++;
    help(comm, meet);
    leave();
    return IN_PROGRESS;
}

int ncclCommGetAsyncError(struct comm *comm, int *state)
{
    enter();
    if (comm->inside) blame("two threads were in one communicator");
    *state = comm->fault ? comm->fault : comm->state;
    leave();
    return SUCCESS;
}

int ncclCommAbort(struct comm *comm)
{
    enter();
    if (comm->inside) blame("an abort came during a call");
    nap(abort_microseconds);
    comm->aborted = 1;
    leave();
    pthread_join(comm->helper, 0);
    enter();
    while (comm->in_flight > 0) await_change();
    alive--; /* the memory stays: kernels of peers may still look at it */
    leave();
    return SUCCESS;
}

int ncclCommFinalize(struct comm *comm)
{
    enter();
    int refused = begin(comm);
    if (!refused) { help(comm, quiesce); comm->finalized = 1; }
    comm->inside--;
    leave();
    return refused ? refused : IN_PROGRESS;
}

int ncclCommDestroy(struct comm *comm)
{
    enter();
    if (!comm->finalized || comm->state != SUCCESS) blame("a communicator was destroyed before it was finalized");
    alive--;
    leave();
    pthread_join(comm->helper, 0);
    return SUCCESS;
}

int ncclGroupStart(void) { grouped = 1; of_group = 0; return SUCCESS; }
int ncclGroupEnd(void)
{
    enter();
    grouped = 0;
    struct comm *comm = of_group;
    if (comm) help(comm, launch);
    leave();
    return comm ? IN_PROGRESS : SUCCESS;
}

int ncclAllReduce(const void *s, void *r, size_t n, int type, int op, struct comm *c, struct stream *t) { (void)op; return enqueue("all-reduce", s, r, n, type, 0, c, t); }
int ncclReduceScatter(const void *s, void *r, size_t n, int type, int op, struct comm *c, struct stream *t) { (void)op; return enqueue("reduce-scatter", s, r, n, type, 0, c, t); }
int ncclAllGather(const void *s, void *r, size_t n, int type, struct comm *c, struct stream *t) { return enqueue("all-gather", s, r, n, type, 0, c, t); }
int ncclBroadcast(const void *s, void *r, size_t n, int type, int root, struct comm *c, struct stream *t) { return enqueue("broadcast", s, r, n, type, root, c, t); }
int ncclReduce(const void *s, void *r, size_t n, int type, int op, int root, struct comm *c, struct stream *t) { (void)op; return enqueue("reduce", s, r, n, type, root, c, t); }

/* ---- for the tests ---- */

const char *standin_misuse(void) { return misuse; }
int standin_disagreements(void) { enter(); int n = disagreements; leave(); return n; }
int standin_alive(void) { enter(); int n = alive; leave(); return n; }
void standin_settle_after(int microseconds) { settle_microseconds = microseconds; }
void standin_abort_takes(int microseconds) { abort_microseconds = microseconds; }
void standin_fail(int rank, int operation) { fail_operation = operation; fail_rank = rank; }
void standin_use_stream(struct stream *s) { current = s; }
void standin_fill_later(struct stream *s, float *data, long count, float value, int microseconds)
{
    enter();
    struct work *w = put(s);
    w->fill = data; w->count = count; w->value = value; w->microseconds = microseconds;
    leave();
}
