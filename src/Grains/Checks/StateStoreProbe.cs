using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Checks;

/// <param name="Text">What the cluster's state is kept in, and where.</param>
public sealed record StateStoreName(string Text);

/// <summary>Reads and writes where the cluster's state is kept, with this silo's rights, as its grains do.</summary>
internal sealed class StateStoreProbe([FromKeyedServices(StateStore.Name)] IGrainStorage storage, StateStoreName name)
{
    private const string Entry = "check";
    private const int Questions = 3;

    internal sealed record Mark
    {
        public DateTimeOffset At { get; init; }
    }

    public string Name => name.Text;

    /// <param name="grain">Under whose name a mark is written, read and removed.</param>
    public async Task<StoreFinding> LookAsync(GrainId grain)
    {
        var shortest = double.MaxValue;
        for (var i = 0; i < Questions; i++)
        {
            var asked = Stopwatch.GetTimestamp();
            await storage.ReadStateAsync(Entry, grain, new GrainState<Mark>());
            shortest = Math.Min(shortest, Stopwatch.GetElapsedTime(asked).TotalSeconds);
        }
        var mark = new GrainState<Mark>(new Mark { At = DateTimeOffset.UtcNow });
        await storage.WriteStateAsync(Entry, grain, mark);
        await storage.ClearStateAsync(Entry, grain, mark);
        return new(name.Text, shortest, null);
    }
}
