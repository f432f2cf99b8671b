using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Orleans.Runtime;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Cluster;

/// <summary>The cluster does not know the run.</summary>
internal sealed class NoSuchRunException(string problem) : InputException(problem);

/// <summary>All that the CLI asks of a cluster. With <see cref="NodeCalls"/> the only place that knows of Orleans.</summary>
internal sealed class ClusterConnection : IAsyncDisposable
{
    private const string Newest = "last";
    private const int MemberKeys = 20; // each may be looked up, and placed, at a node that hangs

    private static readonly TimeSpan ConnectDeadline = TimeSpan.FromSeconds(7);
    private static readonly TimeSpan QuickDeadline = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan ProvenDeadline = TimeSpan.FromSeconds(30); // its certificate has shown that it is a silo
    private static readonly TimeSpan LivingSiloDeadline = TimeSpan.FromSeconds(60); // it is there; a machine with other load makes it slow
    private static readonly TimeSpan CloseDeadline = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AnswerDeadline = TimeSpan.FromSeconds(10);
    private static readonly Insistence Insistence = new(
        again: TimeSpan.FromSeconds(2), pause: TimeSpan.FromSeconds(0.5), most: TimeSpan.FromSeconds(15));

    private readonly IHost _host;
    private readonly IGrainFactory _grains;
    private readonly ClusterAddress _address;
    private readonly TlsIdentity? _identity;

    private ClusterConnection(IHost host, ClusterAddress address, TlsIdentity? identity) =>
        (_host, _address, _identity, _grains) = (host, address, identity, host.Services.GetRequiredService<IGrainFactory>());

    /// <exception cref="NoClusterException">Nobody answered in time.</exception>
    public static Task<ClusterConnection> OpenAsync(ClusterAddress address, CancellationToken interrupted) =>
        OpenAsync(address, IsUp(address) is null ? ConnectDeadline : LivingSiloDeadline, isOwn: false, interrupted);

    /// <summary>As <see cref="OpenAsync(ClusterAddress, CancellationToken)"/>, with less patience for one that is slow.</summary>
    public static Task<ClusterConnection> OpenQuicklyAsync(ClusterAddress address, CancellationToken interrupted) =>
        OpenAsync(address, QuickDeadline, isOwn: false, interrupted);

    /// <summary>As <see cref="OpenAsync(ClusterAddress, CancellationToken)"/>, to a silo that this command has started.</summary>
    public static Task<ClusterConnection> OpenOwnAsync(ClusterAddress address, CancellationToken interrupted) =>
        OpenAsync(address, LivingSiloDeadline, isOwn: true, interrupted);

    private static async Task<ClusterConnection> OpenAsync(
        ClusterAddress address, TimeSpan patience, bool isOwn, CancellationToken interrupted)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
        deadline.CancelAfter(patience);
        var identity = IdentityFor(address, isOwn);
        IHost? host = null;
        try
        {
            if (identity is null && IsUp(address) is { HasTls: true }) throw new AuthenticationException("it asks for a certificate");
            var gateways = await KnockAsync(address, identity, deadline.Token);
            if (identity is not null && patience < ProvenDeadline) deadline.CancelAfter(patience = ProvenDeadline);
            host = new HostBuilder().UseOrleansClient(client => client
                .UseStaticClustering(gateways)
                .UseTls(identity)
                .Configure<ClusterOptions>(o => (o.ClusterId, o.ServiceId) = (GrainKeys.ClusterId, GrainKeys.ServiceId))
                .Configure<ClientMessagingOptions>(o => o.ResponseTimeout = AnswerDeadline)).Build();
            // Orleans tries again without end and may not see the token while it does.
            await host.StartAsync(deadline.Token).WaitAsync(deadline.Token);
            return new(host, address, identity);
        }
        catch (Exception error) when (!interrupted.IsCancellationRequested
            && error is OperationCanceledException or SocketException or TimeoutException or OrleansException or ConnectionAbortedException
                or AuthenticationException)
        {
            await CloseAsync(host);
            var reason = error is OperationCanceledException ? $"no answer in {patience.TotalSeconds} s" : Reason(error);
            throw new NoClusterException($"no cluster answers at {address.Said} ({reason}); {Advice(address, identity, error)}.", error);
        }
    }

    /// <exception cref="InputException">The cluster's own checks found problems.</exception>
    /// <param name="run">The run's id; null leaves it to the cluster.</param>
    public async Task<SubmitReply> SubmitAsync(RunSpec spec, string? run = null)
    {
        var request = new SubmitRequest(RunSpecJson.ToText(spec), run);
        var reply = await AskAsync(() => _grains.GetCluster().SubmitAsync(request));
        return reply.Problems.Count == 0 ? reply : throw new InputException(reply.Problems);
    }

    /// <exception cref="InputException">The run cannot go on; why.</exception>
    public async Task<SubmitReply> ResumeAsync(ResumeRequest request)
    {
        var reply = await AskAsync(() => _grains.GetCluster().ResumeAsync(request));
        return reply.Problems.Count == 0 ? reply : throw new InputException(reply.Problems);
    }

    /// <summary>Newest first, without those that only repeat steps of another.</summary>
    public async Task<IReadOnlyList<RunStatus>> RunsAsync() =>
        [.. (await AskAgainAsync(() => _grains.GetCluster().RunsAsync())).Where(run => !RunIds.IsVerification(run.Run))];

    public Task<IReadOnlyList<NodeInfo>> NodesAsync() => AskAgainAsync(() => _grains.GetCluster().NodesAsync());

    /// <summary>The nodes by name, as the silos among themselves see them: also where whoever keeps the queue does not answer.</summary>
    public async Task<ClusterMembers> MembersAsync(CancellationToken interrupted)
    {
        Task<MembershipEntry[]> Ask() => _grains.GetGrain<IManagementGrain>(Random.Shared.NextInt64()).GetDetailedHosts();
        return ClusterMembers.Of(await AskAsync(() => OtherKeys.AskAsync(Ask, MemberKeys, NodeCalls.Patience, interrupted)));
    }

    /// <summary>The way to a single node.</summary>
    public NodeCalls Call(string node) => new(_grains, node, NodeCalls.Patience);

    /// <returns>Why it cannot be; empty if it is done.</returns>
    public Task<IReadOnlyList<string>> DrainAsync(string node) => AskAgainAsync(() => _grains.GetCluster().DrainAsync(node));

    /// <returns>Why it cannot be; empty if it is done.</returns>
    public Task<IReadOnlyList<string>> UndrainAsync(string node) => AskAgainAsync(() => _grains.GetCluster().UndrainAsync(node));

    /// <returns>Why it cannot be; empty if it is done.</returns>
    public Task<IReadOnlyList<string>> ForgetAsync(string run) => AskAgainAsync(() => _grains.GetCluster().ForgetAsync(run));

    /// <summary>The run that a user means: by its whole id, by how it begins, or the newest as <c>last</c>.</summary>
    /// <exception cref="InputException">There is none, or there are several.</exception>
    public async Task<string> ResolveAsync(string given)
    {
        var runs = (await RunsAsync()).Select(r => r.Run).ToArray();
        if (runs.Contains(given)) return given;
        if (given == Newest && runs.Length > 0) return runs[0];
        string[] begun = [.. runs.Where(run => run.StartsWith(given, StringComparison.Ordinal))];
        return begun.Length switch
        {
            1 => begun[0],
            0 => given,
            _ => throw new InputException(
                $"run: {begun.Length} begin so, got {given}; write more of one of {string.Join(", ", begun.Take(5))}."),
        };
    }

    public Task<RunStatus> StatusAsync(string run) => AskRunAsync(run, r => r.StatusAsync());

    public Task<RunStatus> CancelAsync(string run) => AskRunAsync(run, r => r.CancelAsync());

    public Task<LogPage> LogAsync(string run, long fromLine) => AskRunAsync(run, r => r.LogAsync(fromLine));

    public Task StartJobAsync(Guid id, string node, ModelJob job) => AskAsync(async () =>
    {
        await _grains.GetModelJob(id, node).StartAsync(ModelJobJson.ToText(job));
        return true;
    });

    public Task<ModelJobStatus> JobStatusAsync(Guid id, string node) => AskAsync(() => _grains.GetModelJob(id, node).StatusAsync());

    public Task<ModelJobStatus> CancelJobAsync(Guid id, string node) => AskAsync(() => _grains.GetModelJob(id, node).CancelAsync());

    public async ValueTask DisposeAsync() => await CloseAsync(_host);

    private async Task<T> AskRunAsync<T>(string run, Func<IRunGrain, Task<T>> question)
    {
        try
        {
            return await AskAgainAsync(() => question(_grains.GetRun(run)));
        }
        catch (RunNotFoundException)
        {
            var known = (await RunsAsync()).Select(r => r.Run).ToArray();
            var advice = known.Length == 0 ? "it has no runs, submit one."
                : Nearest.To(run, known) is { } meant ? $"did you mean {meant}?"
                : $"the newest are {string.Join(", ", known.Take(5))}.";
            throw new NoSuchRunException($"run: the cluster at {_address.Said} has none of that id, got {run}; {advice}");
        }
    }

    private async Task<T> AskAsync<T>(Func<Task<T>> question)
    {
        try
        {
            return await question();
        }
        catch (Exception error) when (IsSilence(error))
        {
            throw new NoClusterException($"the cluster at {_address.Said} stopped answering ({Reason(error)}); {AdviceOnEnd()}.", error);
        }
    }

    /// <summary>As <see cref="AskAsync"/>, for what may be asked twice.</summary>
    private Task<T> AskAgainAsync<T>(Func<Task<T>> question) => AskAsync(
        () => Insistence.AskAsync(question, async error => IsSilence(error) && await SomeoneListensAsync()));

    private static bool IsSilence(Exception error) =>
        error is TimeoutException or OrleansException or ConnectionAbortedException or SocketException
            or TypeLoadException; // what the store's client said to a silo, which only silos can read

    private async Task<bool> SomeoneListensAsync()
    {
        using var deadline = new CancellationTokenSource(CloseDeadline);
        try
        {
            return (await KnockAsync(_address, null, deadline.Token)).Length > 0;
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>The gateways that listen: that one, and those of the other silos that the same <c>phi3v up</c> started.</summary>
    private static async Task<IPEndPoint[]> KnockAsync(ClusterAddress address, TlsIdentity? identity, CancellationToken deadline)
    {
        var others = IsUp(address)?.Gateways.Where(port => port != address.Port).Select(port => address with { Port = port }) ?? [];
        var (listen, refused) = (new List<IPEndPoint>(), default(SocketException));
        foreach (var gateway in others.Prepend(address))
        {
            try
            {
                listen.Add(await KnockAtAsync(gateway, identity, deadline));
            }
            catch (SocketException error)
            {
                refused ??= error;
            }
        }
        return listen.Count > 0 ? [.. listen] : throw refused!;
    }

    // A refused connection is known at once here; the Orleans client would go on trying for the whole deadline.
    private static async Task<IPEndPoint> KnockAtAsync(ClusterAddress address, TlsIdentity? identity, CancellationToken deadline)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(address.Host, address.Port, deadline);
        var answered = (IPEndPoint)socket.Client.RemoteEndPoint!;
        if (identity is not null) await ClientTls.TryAsync(socket.Client, identity, deadline);
        return new(answered.Address.IsIPv4MappedToIPv6 ? answered.Address.MapToIPv4() : answered.Address, answered.Port);
    }

    private static async Task CloseAsync(IHost? host)
    {
        if (host is null) return;
        // A client whose cluster is gone may wait for it; the process ends anyway.
        using var deadline = new CancellationTokenSource(CloseDeadline);
        await host.StopAsync(deadline.Token).WaitAsync(CloseDeadline).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>
    /// What is shown there of who we are; null for what this program has started without certificates, whatever the environment has
    /// for others.
    /// </summary>
    private static TlsIdentity? IdentityFor(ClusterAddress address, bool isOwn) =>
        isOwn || IsUp(address) is { HasTls: false } ? null : ClientTls.For(address);

    private static string Advice(ClusterAddress address, TlsIdentity? identity, Exception error) => error is AuthenticationException
        ? $"set {string.Join(", ", TlsFiles.Variables)}, or a context, as docs/security.md says"
        : IsUp(address) is { } up
        ? $"its process {up.ProcessId} is there but does not answer: the machine may be too busy; `phi3v down --force` ends it"
        : !address.IsThisMachine && (error is SocketException || identity is not null)
        ? "see whether a silo is up there, or give another with --cluster host:port"
        : error is SocketException || identity is not null ? "start one with `phi3v up`"
        : $"start one with `phi3v up`, or, if it asks for certificates, set {string.Join(", ", TlsFiles.Variables)}";

    /// <returns>What <c>phi3v up</c> started, if it is what listens there.</returns>
    private static UpState? IsUp(ClusterAddress address) =>
        address.IsThisMachine && UpState.Running() is { } up && up.Gateways.Contains(address.Port) ? up : null;

    private string AdviceOnEnd() => _address.IsThisMachine
        ? $"`phi3v nodes` tells whether it is there, the logs in {UpState.Home} what became of it"
        : "`phi3v nodes` tells whether it is there";

    // Orleans' own words are about grains and addresses, which mean nothing to a user.
    private static string Reason(Exception error) => error switch
    {
        AuthenticationException refused => refused.Message.TrimEnd('.', ' '),
        TimeoutException => $"no answer in {AnswerDeadline.TotalSeconds} s",
        TypeLoadException => "its store does not answer",
        SocketException refused => refused.Message.ReplaceLineEndings(" ").TrimEnd('.', ' '),
        _ => "the connection broke",
    };
}
