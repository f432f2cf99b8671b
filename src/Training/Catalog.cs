using Phi3VCluster.Spec;

namespace Phi3VCluster.Training;

/// <summary>Anything a run spec chooses by name: a method, a collective, a dataset, a schedule, a metric.</summary>
public interface INamed
{
    /// <summary>The word used in the run spec; lower case, words joined by '-'.</summary>
    string Name { get; }
}

/// <summary>
/// All implementations of <typeparamref name="T"/> in this assembly, by name. A new one is a new file: nothing else lists them.
/// </summary>
public static class Catalog<T> where T : class, INamed
{
    private static readonly SortedDictionary<string, T> ByName = Discover();

    public static IReadOnlyCollection<T> All => ByName.Values;

    /// <exception cref="InputException">No such name; the message lists those there are.</exception>
    public static T Find(string name, string path) => ByName.TryGetValue(name, out var found)
        ? found
        : throw new InputException($"{path}: unknown {name}; {Nearest.Advice(name, ByName.Keys)}");

    private static SortedDictionary<string, T> Discover()
    {
        var found = new SortedDictionary<string, T>(StringComparer.Ordinal);
        var types = typeof(T).Assembly.GetTypes().Where(t => t is { IsClass: true, IsAbstract: false } && t.IsAssignableTo(typeof(T)));
        foreach (var type in types)
        {
            var one = (T)Activator.CreateInstance(type, nonPublic: true)!;
            if (!found.TryAdd(one.Name, one))
                throw new InvalidOperationException($"{type.Name} and {found[one.Name].GetType().Name} share the name {one.Name}.");
        }
        return found;
    }
}
