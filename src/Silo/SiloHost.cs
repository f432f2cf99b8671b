using OpenTelemetry.Metrics;
using Phi3VCluster.Grains;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Grains.Runs;
using Phi3VCluster.Spec;
using StackExchange.Redis;

namespace Phi3VCluster.Silo;

/// <summary>Composes the silo and runs it until it is told to stop.</summary>
internal static class SiloHost
{
    /// <summary>More than the ranks' second and the grains' stop take; less than a supervisor's patience.</summary>
    private static readonly TimeSpan ShutdownPatience = TimeSpan.FromSeconds(8);

    /// <exception cref="InputException">A port or a folder cannot be used, or Redis cannot be reached.</exception>
    public static async Task<int> RunAsync(SiloSettings settings)
    {
        settings = Ports.Claim(settings);
        await using var app = Build(settings);
        EndSurely.WhenStopping(app.Lifetime, ShutdownPatience);
        if (settings.UntilStdinCloses) StandardInput.WhenItEnds(app.Lifetime.StopApplication);
        try
        {
            await app.StartAsync();
        }
        catch (Exception e) when (InputProblemIn(e, settings) is { } problem)
        {
            throw new InputException(problem);
        }
        await app.Services.GetRequiredService<NodeReporter>().Registered.WaitAsync(app.Lifetime.ApplicationStopping)
            .ContinueWith(registered => registered.IsCompletedSuccessfully && settings.ReadyFile is { } path ? ReadyFile.WriteAsync(path, settings) : Task.CompletedTask)
            .Unwrap();
        await app.WaitForShutdownAsync();
        return 0;
    }

    private static WebApplication Build(SiloSettings settings)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders().SetMinimumLevel(settings.LogLevel)
            .AddFilter("Orleans.Runtime.Silo", settings.LogLevel > LogLevel.Error ? settings.LogLevel : LogLevel.Error) // it warns of each start without server GC
            .AddSimpleConsole(options => (options.SingleLine, options.TimestampFormat) = (true, "HH:mm:ss.fff "))
            .Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(settings.Listen, settings.HttpPort));
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = ShutdownPatience);
        builder.Services.AddRankWorkers(settings);
        builder.Services.AddOpenTelemetry().WithMetrics(metrics =>
            metrics.AddMeter(RunMetrics.MeterName, "Microsoft.Orleans").AddPrometheusExporter());
        builder.UseOrleans(silo => silo.UseClusteringAndStorage(settings).AddControlPlane());

        var app = builder.Build();
        app.MapHealth();
        app.MapPrometheusScrapingEndpoint("/metrics");
        return app;
    }

    private static string? InputProblemIn(Exception e, SiloSettings settings)
    {
        for (var cause = e; cause is not null; cause = cause.InnerException)
        {
            if (cause is InputException input) return input.Message;
            if (cause is RedisConnectionException) return $"--redis: {settings.Redis} cannot be reached, got: {cause.Message}; start it or correct the address.";
        }
        return null;
    }
}
