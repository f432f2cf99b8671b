using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// What Azure's instance metadata service answers, for machines that it names vm-0, vm-1, … in the order in which they ask who they are.
/// As the real one it answers nobody who does not send the header "Metadata".
/// </summary>
public sealed class FakeMetadata : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Task _serving;
    private volatile string _events = "[]";
    private int _machines;

    public FakeMetadata()
    {
        Address = $"http://127.0.0.1:{FreePorts.One()}/";
        _listener.Prefixes.Add(Address);
        _listener.Start();
        _serving = Task.Run(ServeAsync);
    }

    public string Address { get; }

    public ConcurrentQueue<string> Refused { get; } = new();

    /// <summary>From now on a machine is told this.</summary>
    public void Tell(string kind, string machine, TimeSpan notice) => _events = JsonSerializer.Serialize(new[]
    {
        new
        {
            EventId = Guid.NewGuid(),
            EventType = kind,
            ResourceType = "VirtualMachine",
            Resources = new[] { machine },
            EventStatus = "Scheduled",
            NotBefore = DateTime.UtcNow.Add(notice).ToString("R", CultureInfo.InvariantCulture),
            Description = "",
            EventSource = "Platform",
            DurationInSeconds = -1,
        },
    });

    public void TellNothing() => _events = "[]";

    public void Dispose()
    {
        _listener.Close();
        _serving.Wait();
    }

    private async Task ServeAsync()
    {
        while (true)
        {
            HttpListenerContext call;
            try
            {
                call = await _listener.GetContextAsync();
            }
            catch (Exception error) when (error is HttpListenerException or ObjectDisposedException)
            {
                return;
            }
            var (status, text) = Answer(call.Request);
            call.Response.StatusCode = status;
            await call.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(text));
            call.Response.Close();
        }
    }

    private (int Status, string Text) Answer(HttpListenerRequest asked)
    {
        if (asked.Headers["Metadata"] == "true")
        {
            if (asked.RawUrl == "/metadata/instance/compute/name?api-version=2021-02-01&format=text") return (200, $"vm-{_machines++}");
            if (asked.RawUrl == "/metadata/scheduledevents?api-version=2020-07-01")
                return (200, $$"""{"DocumentIncarnation":1,"Events":{{_events}}}""");
        }
        Refused.Enqueue($"{asked.RawUrl}");
        return (400, "Bad request. Required metadata header not specified, or no such thing.");
    }
}
