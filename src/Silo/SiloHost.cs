using Microsoft.Extensions.Logging.Console;
using Orleans.Storage;
using Phi3VCluster.Grains;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Silo.Eviction;
using Phi3VCluster.Silo.Http;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Silo;

/// <summary>Composes the silo and runs it until it is told to stop.</summary>
internal static class SiloHost
{
    /// <summary>For everything that ends a silo but the drain of its seats.</summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(8);

    /// <exception cref="InputException">A port, a folder, a certificate or the name cannot be used, or Redis cannot be reached.</exception>
    public static async Task<int> RunAsync(SiloSettings settings)
    {
        var identity = settings.Tls is { } files ? new TlsIdentity(files, PeerRole.Silo) : null;
        settings = SiloPorts.Claim(settings);
        if (settings.MinGpus > 0 && Cuda.DeviceCount is var gpus && gpus < settings.MinGpus) // asking loads libtorch
            throw new InputException($"--min-gpus: this machine must have at least {settings.MinGpus}, got {gpus}; check its driver with "
                + "nvidia-smi and that libtorch is one for CUDA (phi3v-silo --check), or lower it.");
        if (settings.Redis is not null) await RedisServer.RequireAsync(settings);
        var (access, certificate) = (HttpAccess.Of(settings), settings.Http is { } http ? new HttpCertificate(http) : null);
        await using var app = Build(settings, access, certificate, identity);
        app.Services.GetRequiredKeyedService<IGrainStorage>(StateStore.Name); // opened now: a folder in use is refused before anything runs
        if (settings.Redis is not null) await OtherSilos.RequireNoneInTheWayAsync(app.Services, settings);
        EndSurely.WhenStopping(app.Lifetime, settings.DrainGrace + EndPatience);
        if (settings.UntilStdinCloses) StandardInput.WhenItEnds(app.Lifetime.StopApplication);
        try
        {
            await app.StartAsync();
        }
        catch (Exception error) when (SiloPorts.WasTaken(error))
        {
            throw new InputException($"--gateway-port, --silo-port, --http-port: one of {settings.GatewayPort}, {settings.SiloPort} and "
                + $"{settings.HttpPort} was taken by another program at this moment; start it again, or choose others.");
        }
        if (settings.Redis is not null) await OtherSilos.RequireFirstAsync(app.Services, settings);
        var stopped = app.WaitForShutdownAsync();
        await Task.WhenAny(app.Services.GetRequiredService<Heartbeat>().Registered, stopped);
        if (settings.ReadyFile is { } path && !stopped.IsCompleted) ReadyFile.Write(path, settings);
        await stopped;
        return 0;
    }

    private static WebApplication Build(SiloSettings settings, HttpAccess access, HttpCertificate? certificate, TlsIdentity? identity)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            ContentRootPath = AppContext.BaseDirectory,
            Args = ["--hostBuilder:reloadConfigOnChange=false"], // a watcher for each file that may come: a user has 128 in all
        });
        builder.Logging.ClearProviders().SetMinimumLevel(settings.LogLevel)
            // It warns at each start that the GC is not the server's, which would take memory from the ranks.
            .AddFilter("Orleans.Runtime.Silo", settings.LogLevel > LogLevel.Error ? settings.LogLevel : LogLevel.Error)
            // Its first round takes the machine's uptime for a delay.
            .AddFilter("Orleans.Runtime.Watchdog", settings.LogLevel > LogLevel.Error ? settings.LogLevel : LogLevel.Error)
            // It names nobody; what SiloTls says of the same does.
            .AddFilter("Orleans.Connections.Security",
                settings.LogLevel is > LogLevel.Error or < LogLevel.Information ? settings.LogLevel : LogLevel.Error)
            .AddSimpleConsole(options => (options.SingleLine, options.TimestampFormat) = (true, "HH:mm:ss.fff "))
            .Services.Configure<ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            HttpGuard.Limit(kestrel);
            kestrel.Listen(settings.Listen, settings.HttpPort, listen => certificate?.Use(listen));
        });
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.DrainGrace + EndPatience);
        builder.Services.AddSingleton(new DrainGrace(settings.DrainGrace));
        builder.Services.AddRankWorkers(settings, identity);
        builder.Services.AddMetrics(settings, identity);
        builder.UseOrleans(silo => silo
            .UseClusteringAndStorage(settings)
            .UseTls(identity)
            .AddControlPlane(carriesCoordinators: settings.Role != SiloRole.Ranks));
        if (settings.ScheduledEvents is not null) builder.Services.AddSingleton(settings).AddHostedService<EvictionWatch>();

        var app = builder.Build();
        app.UseGuard(access, Api.Root);
        app.MapHealth();
        app.MapPrometheusScrapingEndpoint("/metrics");
        app.MapApi(settings);
        app.MapPage();
        return app;
    }
}
