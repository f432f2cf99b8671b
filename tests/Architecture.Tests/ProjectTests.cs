namespace Phi3VCluster.Architecture.Tests;

public sealed class ProjectTests
{
    /// <summary>Who may refer to whom, directly. Whatever is not here is forbidden.</summary>
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Spec"] = [],
        ["Samples"] = ["Spec"],
        ["Tls"] = ["Spec"],
        ["Grains.Interfaces"] = ["Spec"],
        ["Training"] = ["Spec"],
        ["Grains"] = ["Grains.Interfaces", "Training"],
        ["Silo"] = ["Grains", "Tls"],
        ["LocalStore"] = ["Spec"],
        ["Client"] = ["Grains.Interfaces", "Spec", "Samples", "Tls"],
    };

    private static readonly IReadOnlyDictionary<string, Project> Projects = Project.AllInSrc();

    [Fact]
    public void Every_project_of_the_product_has_its_arrows_written_down() =>
        Assert.Equal(Arrows.Keys.Order(), Projects.Keys.Order());

    [Fact]
    public void Projects_refer_only_to_those_they_may() => Problems.None(
        from project in Projects.Values
        from reference in project.References
        where !Arrows.GetValueOrDefault(project.Name, []).Contains(reference)
        select $"{project.Path}: {project.Name} → {reference}",
        "These references are not among the arrows; drop them, or change the design first:");

    [Fact]
    public void Training_knows_nothing_of_Orleans() => MustNotReach("Training", "Microsoft.Orleans");

    [Fact]
    public void The_command_line_client_never_loads_libtorch()
    {
        MustNotReach("Client", "TorchSharp");
        MustNotReach("Client", "libtorch");
    }

    /// <summary>It is 16 MB that a silo of its own never needs.</summary>
    [Fact]
    public void Only_the_local_store_brings_an_embedded_server() => Assert.Equal(
        ["LocalStore"],
        from project in Projects.Values
        where project.Closure(Projects).Any(reached => reached.Packages.Contains("Microsoft.Garnet"))
        select project.Name);

    [Fact]
    public void A_reference_for_build_order_only_is_no_arrow()
    {
        var project = Project.Parse("x/X.csproj", """
            <Project><ItemGroup>
              <ProjectReference Include="..\Silo\Silo.csproj" ReferenceOutputAssembly="false" />
              <ProjectReference Include="../Grains.Interfaces/Grains.Interfaces.csproj" />
              <PackageReference Include="YamlDotNet" />
            </ItemGroup></Project>
            """);

        Assert.Equal(["Grains.Interfaces"], project.References);
        Assert.Equal(["YamlDotNet"], project.Packages);
    }

    private static void MustNotReach(string name, string package) => Problems.None(
        from project in Projects[name].Closure(Projects)
        from used in project.Packages
        where used.StartsWith(package, StringComparison.OrdinalIgnoreCase)
        select $"{project.Path}: {used}",
        $"{name} must not reach a package {package}*, not even through another project:");
}
