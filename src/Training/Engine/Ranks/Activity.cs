namespace Phi3VCluster.Training.Engine;

/// <summary>
/// How far the calling thread is with something long, for those who watch. A rank and a job are a thread each: what is deep in the work
/// tells its thread's watcher, without a parameter through all that lies between.
/// </summary>
internal static class Activity
{
    [ThreadStatic]
    private static Action<PartProgress>? _watcher;

    /// <summary>Replaces the thread's watcher; null takes it away.</summary>
    public static void Watch(Action<PartProgress>? watcher) => _watcher = watcher;

    /// <summary>Tells the calling thread's watcher from any thread.</summary>
    public static Action<int, int> Reporter(string unit)
    {
        var watcher = _watcher;
        return (done, total) => watcher?.Invoke(new(unit, done, total));
    }

    /// <param name="unit">What is counted, in the plural.</param>
    public static void Report(string unit, long done, long total) => _watcher?.Invoke(new(unit, done, total));
}
